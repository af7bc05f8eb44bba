// What a visitor takes away of a structure: files, made in the browser, and the clipboard.

const LONGEST_PICTURE = 4096; // pixels; phones refuse more
const SHORTEST_PICTURE = 2000;

/** An RNA's name as that of a file. */
function fileName(name) {
  const plain = name.replace(/[^A-Za-z0-9._-]+/g, '_').replace(/^[._-]+|[._-]+$/g, '');
  return plain.slice(0, 80) || 'rna';
}

function keepFile(name, type, content) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([content], {type}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** FASTA with a line of dots and brackets, as ViennaRNA and others read it. */
function dotBracket(rna, view) {
  return `>${rna.name.replace(/\s+/g, ' ')} ${view.told}\n${rna.sequence}\n${view.pairs}\n`;
}

/** The structure as PNG: a promise of its bytes. */
async function pictureOf(rna, view) {
  const twice = 2 * Math.max(view.box.w, view.box.h);
  const longest = Math.round(Math.min(LONGEST_PICTURE, Math.max(SHORTEST_PICTURE, twice)));
  const {text, width, height} = drawDocument(rna, view, longest);
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([text], {type: 'image/svg+xml'}));
  await image.decode();
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext('2d').drawImage(image, 0, 0, width, height);
  URL.revokeObjectURL(image.src);
  return new Promise((resolve) => { canvas.toBlob(resolve, 'image/png'); });
}

/** Whether it was copied. Browsers offer the clipboard only over HTTPS or on the same machine. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.body.appendChild(document.createElement('textarea'));
    field.value = text;
    field.select();
    const copied = document.execCommand('copy');
    field.remove();
    return copied;
  }
}
