// Sentences come translated, from the page's attributes; here their gaps are filled.

export const locale = document.documentElement.lang || "en";

// "{sent} of {whole}" with the values that are named so.
export function filled(sentence, values) {
  return sentence.replace(/\{(\w+)\}/g, (gap, name) => values[name] ?? gap);
}

// A name or an id, of whatever direction: the sentence around it keeps its own (FSI … PDI).
export function isolated(text) {
  return `\u2068${text}\u2069`;
}
