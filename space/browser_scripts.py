"""JavaScript and HTML that the page adds to Gradio's own components."""

# A click on a card's button becomes an event that says which RNA, and which of its hits, is meant.
CARDS_JS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-value]');
  if (!button) return;
  const {value, trim} = button.dataset;
  trigger('select', trim ? {value, trim: Number(trim)} : {value});
});
"""
# What a reader has opened or closed stays so when the HTML that it is in is made anew. A click is
# the reader's, by mouse or keyboard; that an element opens may be the page's doing.
FOLDS_JS = """
{
  const chosen = new Map();
  const keyOf = (details) => {
    const card = details.closest('[data-rna]');
    return `${card ? card.dataset.rna : ''} ${details.dataset.fold}`;
  };
  element.addEventListener('click', (event) => {
    const details = event.target.closest('summary')?.parentElement;
    if (details?.dataset.fold) chosen.set(keyOf(details), !details.open);
  });
  new MutationObserver(() => {
    for (const details of element.querySelectorAll('details[data-fold]')) {
      const open = chosen.get(keyOf(details));
      if (open !== undefined && open !== details.open) details.open = open;
    }
  }).observe(element, {childList: true, subtree: true, attributeFilter: ['open']});
}
"""
# A citation in the conversation leads to its record below, for mouse, keyboard and screen reader;
# without the address, whose change some browsers' back buttons would then undo.
CITE_JS = """
window.rnaCite?.abort();
window.rnaCite = new AbortController();
document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href^="#record-"]');
  const record = link && document.getElementById(link.getAttribute('href').slice(1));
  if (!record) return;
  event.preventDefault();
  record.scrollIntoView({block: 'nearest'});
  record.focus();
}, {signal: window.rnaCite.signal});
"""
# On a phone what follows from a click is beyond the screen: the new card, and the answer.
_SHOW = """
() => {
  if (window.innerWidth > 640 || document.querySelector('#rna-notice .error')) return;
  [...document.querySelectorAll('%s')].pop()?.scrollIntoView({block: 'start'});
}
"""
SHOW_CARD_JS = _SHOW % "#cards .card"
SHOW_CHAT_JS = _SHOW % "#chat-head"
# The browser reads files and sends their bytes with an event: Gradio's own upload would write them
# to the server's disk. Files that are too large together are not read at all.
UPLOAD_HTML = """
<label for="fasta">Or drop FASTA files anywhere on this page, plain or gzipped</label>
<input id="fasta" type="file" multiple aria-label="Upload FASTA" aria-describedby="fasta-limit">
<p id="fasta-limit">Up to %s in all. Files are read in your browser and not stored.</p>
<p class="dropping" aria-hidden="true" hidden>Drop to add the RNAs</p>
"""
UPLOAD_JS = """
const input = element.querySelector('input');
const read = (file) => new Promise((resolve) => {
  const reader = new FileReader();
  const told = {name: file.name, size: file.size, content: ''};
  reader.onload = () => resolve({...told, content: reader.result.split(',')[1] || ''});
  reader.onerror = () => resolve({...told, size: -1});
  reader.readAsDataURL(file);
});
const give = async (list) => {
  const files = [...list];
  if (!files.length) return;
  const size = files.reduce((sum, file) => sum + file.size, 0);
  const unread = files.map((file) => ({name: file.name, size: file.size, content: ''}));
  trigger('upload', {files: size > %d ? unread : await Promise.all(files.map(read))});
  input.value = '';
};
input.addEventListener('change', () => give(input.files));
// On the whole page, or a file that misses the field would replace the page.
window.rnaDrop?.abort();
window.rnaDrop = new AbortController();
const {signal} = window.rnaDrop;
const brings = (event) => event.dataTransfer?.types.includes('Files');
const told = element.querySelector('.dropping');
const show = (on) => { told.hidden = !on; };
document.addEventListener('dragenter', (event) => {
  if (brings(event)) { event.preventDefault(); show(true); }
}, {signal});
document.addEventListener('dragover', (event) => {
  if (brings(event)) { event.preventDefault(); event.dataTransfer.dropEffect = 'copy'; }
}, {signal});
document.addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) show(false);  // out of the window
}, {signal});
document.addEventListener('drop', (event) => {
  show(false);
  if (!brings(event)) return;
  event.preventDefault();
  give(event.dataTransfer.files);
}, {signal, capture: true});
"""
# What was taken leaves its field, and what nothing came of returns to it, but never at the cost of
# what a visitor has typed meanwhile. The server cannot tell: it does not see the field.
FIELD_JS = """
(command, now) => {
  const {taken, back} = JSON.parse(command || '{}');
  if (taken !== undefined && taken === now) return '';
  if (back === undefined || now.includes(back)) return now;
  return now.trim() ? back + '\\n' + now : back;
}
"""
# In the browser, so that the server writes no file.
DOWNLOAD_JS = """
(text) => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type: '%s'}));
  link.download = 'rna-gpt-conversation.%s';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
"""
# Browsers offer the clipboard only to pages over HTTPS or from the same machine.
COPY_JS = """
async (text) => {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
  } else {
    const field = document.body.appendChild(document.createElement('textarea'));
    field.value = text;
    field.select();
    document.execCommand('copy');
    field.remove();
  }
  return 'Copied';
}
"""
COPY_AGAIN_JS = "() => new Promise((resolve) => setTimeout(() => resolve('Copy'), 2000))"
