"""Write files of the form of WordNet, with a handful of synsets."""

from pathlib import Path

LICENSE = "  1 A license stands in front of the synsets, in lines that begin with two spaces.  \n"
# Part of speech, offset, category, words, relations and opposites as `symbol offset pos ends`, gloss.
SYNSETS = [
    ("n", "00000010", "03", ["thing"], [], "that which is there"),
    ("n", "00000020", "05", ["animal", "beast"], ["@ 00000010 n 0000"], "a living thing that can move"),
    ("n", "00000030", "05", ["dog", "domestic_dog"], ["@ 00000020 n 0000"], 'an animal that barks; "the dog barked all night"'),
    ("n", "00000040", "05", ["hound"], ["@ 00000030 n 0000"], "any of several dogs that hunt"),
    ("n", "00000050", "05", ["beagle"], ["@ 00000040 n 0000"], "a small short-legged hound"),
    ("n", "00000060", "05", ["genus_Canis", "Canis"], ["@ 00000010 n 0000"], "type genus of the Canidae: dogs and wolves"),
    ("n", "00000070", "15", ["Rome"], ["@i 00000080 n 0000", "#p 00000090 n 0000"], "the capital of Italy"),
    ("n", "00000080", "15", ["city"], ["@ 00000010 n 0000"], "a large town"),
    ("n", "00000090", "15", ["Italy"], ["@ 00000010 n 0000"], "a republic in the south of Europe"),
    ("n", "00000100", "27", ["water"], ["@ 00000010 n 0000"], "(chemistry) clear liquid; H2O"),
    ("v", "00000110", "38", ["go", "move"], [], 'change place; "We go home every day"'),
    ("v", "00000120", "38", ["walk"], ["@ 00000110 v 0000"], "use one`s feet to advance"),
    ("a", "00000210", "00", ["hot"], ["! 00000220 a 0101"], 'having a high temperature; "hot stove"'),
    ("a", "00000220", "00", ["cold"], ["! 00000210 a 0101"], "having a low temperature"),
    ("s", "00000230", "00", ["chilly(p)"], ["& 00000220 a 0000"], "appreciably cold; of weather"),
    ("r", "00000310", "02", ["hotly"], [], "in a heated manner"),
]  # fmt: skip
COUNTS = {"dog": 42, "animal": 9, "beagle": 1, "go": 100, "hot": 50, "cold": 20, "rome": 3, "hound": 2}
_FILES = {"n": "noun", "v": "verb", "a": "adj", "s": "adj", "r": "adv"}


def write_wordnet_files(folder: Path) -> Path:
    """Write `data.*` and `index.sense` into a folder. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines: dict[str, list[str]] = {name: [LICENSE] for name in ("noun", "verb", "adj", "adv")}
    senses = []
    for pos, offset, category, words, relations, gloss in SYNSETS:
        listed = " ".join(f"{word} 0" for word in words)
        line = f"{offset} {category} {pos} {len(words):02x} {listed} {len(relations):03} {' '.join([*relations, '|'])} {gloss}  \n"
        lines[_FILES[pos]].append(line)
        for word in words:
            plain = word.partition("(")[0].lower()
            senses.append(f"{plain}%{'nvars'.index(pos) + 1}:{category}:00:: {offset} 1 {COUNTS.get(plain, 0)}\n")
    for name, content in lines.items():
        (folder / f"data.{name}").write_text("".join(content), encoding="utf-8")
    (folder / "index.sense").write_text("".join(sorted(senses)), encoding="utf-8")
    return folder
