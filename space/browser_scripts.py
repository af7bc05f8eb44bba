"""JavaScript and HTML that the page adds to Gradio's own components."""

# A click on a card's button becomes an event that says which RNA is meant.
REMOVE_JS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-remove]');
  if (button) trigger('select', {value: button.dataset.remove});
});
"""
# The browser reads the file and sends its bytes with an event: Gradio's own upload would write them
# to the server's disk. One that is too large is not read at all.
UPLOAD_HTML = """
<label for="fasta">Or upload FASTA, plain or gzipped</label>
<input id="fasta" type="file" aria-label="Upload FASTA">
"""
UPLOAD_JS = """
const input = element.querySelector('input');
input.addEventListener('change', () => {
  const file = input.files[0];
  if (!file) return;
  const upload = {name: file.name, size: file.size, content: ''};
  const reader = new FileReader();
  reader.onload = () => {
    trigger('upload', {...upload, content: reader.result.split(',')[1] || ''});
    input.value = '';
  };
  reader.onerror = () => trigger('upload', {...upload, size: -1});
  if (file.size > %d) trigger('upload', upload); else reader.readAsDataURL(file);
});
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
