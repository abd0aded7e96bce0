"""`python -m modeling_glm`"""

from .cli.main import main

main()
