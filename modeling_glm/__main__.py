"""`python -m modeling_glm`"""

from .cli import main

main()
