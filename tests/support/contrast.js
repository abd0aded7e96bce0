// Lists the visible texts of the page with too little contrast to what lies behind them (WCAG 2, 1.4.3), as
// "2.1: text". `arguments[0]` is the least contrast.
const parse = (colour) => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
};
const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
const grey = ([r, g, b, a]) => {
    const value = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    return [value, value, value, a];
};
const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ancestors = (element) => {
    const found = [];
    for (let e = element; e; e = e.parentElement) found.push(e);
    return found;
};
const cache = new Map();
const colour = (text) => cache.get(text) ?? cache.set(text, parse(text)).get(text);

const problems = [];
let checked = 0;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.textContent.trim(), element = node.parentElement;
    if (!text || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    const chain = ancestors(element);
    const clipped = chain.some((e) => getComputedStyle(e).clipPath.startsWith("inset(50%"));
    if (clipped || box.width < 1 || box.height < 1) continue;
    // From the page to the element: colours behind the text, and how much of it shows through.
    let behind = [255, 255, 255, 1], seen = 1, isGrey = false;
    for (const e of [...chain].reverse()) {
        const style = getComputedStyle(e);
        behind = over(colour(style.backgroundColor), behind);
        seen *= Number(style.opacity);
        isGrey ||= style.filter.includes("grayscale(1)");
    }
    const own = colour(getComputedStyle(element).color);
    let front = over([...own.slice(0, 3), own[3] * seen], behind);
    if (isGrey) [front, behind] = [grey(front), grey(behind)];
    const [dark, light] = [luminance(front), luminance(behind)].sort((a, b) => a - b);
    const contrast = (light + 0.05) / (dark + 0.05);
    checked += 1;
    if (contrast < arguments[0]) problems.push(`${contrast.toFixed(2)}: ${text.slice(0, 60)} <${element.tagName} ${element.className}>`);
}
return { checked, problems };
