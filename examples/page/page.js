// Ctrl+Enter asks, in every box of a question.
document.addEventListener("keydown", (event) => {
    const asking = event.target.closest(".asking");
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || !asking) return;
    event.preventDefault();
    event.stopPropagation();
    asking.querySelector(".ask").click();
}, true);

// A result is stale when its question changes, and old when it is asked again.
function mark(asking, kind) {
    for (const answers of asking?.querySelectorAll(".answers") ?? []) {
        answers.classList.add(kind);
        answers.disabled = true;
    }
    for (const problem of asking?.querySelectorAll(".problem") ?? []) problem.classList.add("stale");
}
for (const name of ["input", "change"]) {
    document.addEventListener(name, (event) => mark(event.target.closest(".question")?.closest(".asking"), "stale"), true);
}
document.addEventListener("click", (event) => {
    if (event.target.closest(".ask")) mark(event.target.closest(".asking"), "old");
}, true);

// Put a blank where the cursor is, and let the reader write on behind it.
function insertBlank(id, mask, text) {
    const box = document.querySelector(`#${id} textarea`);
    const [start, end] = [box.selectionStart, box.selectionEnd];
    mark(box.closest(".asking"), "stale");
    setTimeout(() => {
        box.focus();
        box.setSelectionRange(start + mask.length, start + mask.length);
    }, 50);
    return text.slice(0, start) + mask + text.slice(end);
}

// Gradio shows at the box why the server refused a question: read it aloud, too.
new MutationObserver(() => {
    for (const refusal of document.querySelectorAll("div.validation-error:not([role])")) refusal.setAttribute("role", "alert");
}).observe(document, { childList: true, subtree: true });
