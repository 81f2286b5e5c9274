// What scripts say, in the language of the page: English sentences are the keys, as in templates.
const words = document.documentElement.lang.startsWith("zh") ? await fetch("/static/words-zh.json").then((answer) => answer.json()).catch(() => ({})) : {};

// Returns a sentence in the page's language. values: of the `{names}` in it.
export function t(text, values = {}) {
  return (words[text] ?? text).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
