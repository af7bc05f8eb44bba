// <rna-structure data="…"> shows what `structure_card.py` packed. What it shows is in a shadow tree:
// Gradio compares the page's own with what the server sends, and takes away what it does not know.

const HELP = 'Drag to move; pinch, or Ctrl and the wheel, to zoom. After a click also the wheel, ' +
  'the arrow keys, + and −, until Esc.';
const LABEL_PIXELS = 11;
const CLOSEST = 4; // pixels a unit
const LEGIBLE = 5.5; // pixels of a letter
const FRAME = `
  <div class="views" role="group" aria-label="Which structure"></div>
  <p class="told"></p>
  <div class="canvas">
    <svg class="structure" tabindex="0" role="application" aria-roledescription="drawing"
      aria-describedby="help"></svg>
    <output aria-live="polite"></output>
  </div>
  <div class="at">
    <div class="zoom" role="group" aria-label="Zoom">
      <button type="button" data-do="closer" aria-label="Zoom in" title="Zoom in">+</button>
      <button type="button" data-do="farther" aria-label="Zoom out" title="Zoom out">−</button>
      <button type="button" data-do="whole" title="Show the whole structure">Whole</button>
      <button type="button" data-do="enlarge" title="Show it on the full screen">Enlarge</button>
    </div>
    <label>Go to nucleotide <input type="number" min="1" step="1" inputmode="numeric"></label>
  </div>
  <p class="legend"></p>
  <p class="help" id="help">${HELP}</p>
  <div class="dots" tabindex="0" role="region" aria-label="Sequence and dot-bracket"><pre></pre></div>
  <div class="keep" role="group" aria-label="Keep the structure">
    <button type="button" data-do="copy">Copy dot-bracket</button>
    <button type="button" data-do="svg" aria-label="Download SVG">SVG</button>
    <button type="button" data-do="png" aria-label="Download PNG">PNG</button>
    <button type="button" data-do="dbn" aria-label="Download dot-bracket">.dbn</button>
  </div>`;

class RnaStructure extends HTMLElement {
  static observedAttributes = ['data'];

  constructor() {
    super();
    const root = this.attachShadow({mode: 'open'});
    root.innerHTML = `<style>${STYLE}</style>${FRAME}`;
    const find = (selector) => root.querySelector(selector);
    this.svg = find('svg');
    this.parts = {
      views: find('.views'), told: find('.told'), canvas: find('.canvas'), at: find('.at'),
      input: find('input'), output: find('output'), legend: find('.legend'), dots: find('pre'),
      help: find('.help'),
    };
    const enlarge = find('[data-do=enlarge]');
    enlarge.hidden = !document.fullscreenEnabled;
    this.addEventListener('fullscreenchange', () => {
      enlarge.textContent = document.fullscreenElement === this ? 'Close' : 'Enlarge';
    });
    root.addEventListener('click', (event) => this.clicked(event.target.closest('button')));
    this.parts.input.addEventListener('input', () => this.goTo(this.parts.input.valueAsNumber - 1));
    this.svg.addEventListener('keydown', (event) => this.pressed(event));
    this.svg.addEventListener('wheel', (event) => this.wheeled(event), {passive: false});
    for (const kind of ['pointerdown', 'pointermove', 'pointerup', 'pointercancel', 'pointerleave']) {
      this.svg.addEventListener(kind, (event) => this[kind](event));
    }
    this.pointers = new Map();
    // Also when the card is unfolded, as nothing has a size before.
    new ResizeObserver(() => this.resized()).observe(this.parts.canvas);
  }

  attributeChangedCallback(_, before, data) {
    if (data === null || data === before) return;
    const old = this.rna;
    this.rna = JSON.parse(data);
    const same = old && old.sequence === this.rna.sequence && old.name === this.rna.name;
    // Another structure that has been folded meanwhile takes nothing from who looks at this one.
    const kept = same && this.rna.views.findIndex((view) => view.kind === this.view.kind);
    if (same && kept >= 0 && this.rna.views[kept].pairs === this.view.pairs) this.listViews();
    else this.show(0);
  }

  /** Show one of the structures, the whole of it. */
  show(number) {
    const {rna, parts, svg} = this;
    this.view = readView(rna.views[number], rna.sequence);
    this.chosen = -1;
    this.scale = this.fitted = 0;
    svg.replaceChildren();
    const drawn = this.view.points.length > 0;
    for (const part of [parts.canvas, parts.at, parts.legend, parts.help]) part.hidden = !drawn;
    for (const kind of ['svg', 'png']) this.shadowRoot.querySelector(`[data-do=${kind}]`).hidden = !drawn;
    if (drawn) {
      // Its name is no <title>, which would be a tooltip wherever the pointer is.
      svg.setAttribute('aria-label', titleOf(rna, this.view));
      add(svg, 'desc', {}, this.view.told);
      this.layers = drawLayers(svg, this.view, ON_PAGE);
      this.marks = add(svg, 'g', {class: 'marks', 'pointer-events': 'none'});
    }
    parts.told.textContent = `Structure: ${this.view.told}`;
    parts.output.textContent = '';
    parts.input.value = '';
    parts.input.max = rna.sequence.length;
    parts.dots.textContent = `${rna.sequence}\n${this.view.pairs}`;
    this.listViews();
    this.listKinds();
    this.resized();
  }

  listViews() {
    const {rna, parts, view} = this;
    const buttons = rna.views.map(({name, kind}, number) => {
      const button = document.createElement('button');
      button.textContent = name;
      button.dataset.view = number;
      button.setAttribute('aria-pressed', kind === view.kind);
      return button;
    });
    if (rna.pending) {
      const button = document.createElement('button');
      button.textContent = `${rna.pending}: being folded…`;
      button.disabled = true;
      buttons.push(button);
    }
    for (const button of buttons) button.type = 'button';
    parts.views.hidden = buttons.length < 2;
    parts.views.replaceChildren(...buttons);
  }

  /** What the marks in this drawing mean. */
  listKinds() {
    const {view} = this;
    const letters = Object.entries(FILLS).map(([letter, fill]) => [`<i style="background:${fill}"></i>`, letter]);
    const kinds = [
      ...letters,
      ['<i class="outside"></i>', 'outside of the family’s match', view.inside.includes(false)],
      ['•', 'G–U', this.layers && this.layers.wobbles.children.length > 0 && view.points.length > 0],
      ['<i class="dashed"></i>', 'the family’s pair, which these letters cannot form', view.unformed.length > 0],
      ['<i class="knot"></i>', 'pseudoknot', view.knots.length > 0],
    ];
    this.parts.legend.innerHTML = kinds
      .filter(([, , present = true]) => present)
      .map(([mark, meaning]) => `<span>${mark} ${meaning}</span>`).join(' ');
  }

  // The view: `centre` in units, `scale` in pixels a unit.

  resized() {
    const {canvas} = this.parts;
    if (!this.view || !this.view.points.length || !canvas.clientWidth) return;
    const full = document.fullscreenElement === this;
    const {w, h} = this.view.box;
    const height = full ? '' : `${Math.max(320, Math.min(520, (canvas.clientWidth * h) / (w || 1)))}px`;
    if (this.svg.style.height !== height) this.svg.style.height = height;
    const {width, height: high} = this.svg.getBoundingClientRect();
    this.size = {width, height: high};
    const before = this.fitting;
    this.fitting = 2;
    // Numbers keep their size where the structure gets smaller, and so take more of its units.
    for (let step = 0; step < 8; step += 1) {
      this.box = boxWithLabels(this.view, Math.max(1, LABEL_PIXELS / (FONT * this.fitting)));
      this.fitting = Math.min(width / this.box.w, high / this.box.h, 2);
    }
    if (!this.scale || this.scale === before) this.whole();
    this.place();
  }

  whole() {
    const {x, y, w, h} = this.box;
    this.scale = this.fitting;
    this.centre = [x + w / 2, y + h / 2];
  }

  /** Show centre and scale, neither of which may lose sight of the structure. */
  place() {
    const {size, layers} = this;
    const {x, y, w, h} = this.box;
    this.scale = Math.min(Math.max(this.scale, this.fitting), Math.max(CLOSEST, this.fitting));
    this.centre = [
      Math.min(Math.max(this.centre[0], x), x + w),
      Math.min(Math.max(this.centre[1], y), y + h),
    ];
    const [width, height] = [size.width / this.scale, size.height / this.scale];
    const corner = [this.centre[0] - width / 2, this.centre[1] - height / 2];
    this.svg.setAttribute('viewBox', [...corner, width, height].map((one) => one.toFixed(2)).join(' '));
    // From afar neither letters nor nucleotides can be told apart.
    layers.letters.style.display = FONT * this.scale < LEGIBLE ? 'none' : '';
    layers.nucleotides.style.display = 2 * RADIUS * this.scale < 2.5 ? 'none' : '';
    layers.wobbles.style.display = layers.letters.style.display;
    if (this.fitted !== this.scale) fitLayers(layers, this.scale, LABEL_PIXELS);
    this.fitted = this.scale;
    // A finger scrolls the page past a structure that is seen as a whole, and moves one that is not.
    this.svg.style.touchAction = this.scale > this.fitting * 1.01 ? 'none' : 'pan-y';
    this.mark(this.chosen);
  }

  /** Zoom about a point in pixels, by default the middle. */
  zoom(factor, [px, py] = [this.size.width / 2, this.size.height / 2]) {
    const before = this.scale;
    this.scale = Math.min(Math.max(before * factor, this.fitting), Math.max(CLOSEST, this.fitting));
    const away = [px - this.size.width / 2, py - this.size.height / 2];
    this.centre = this.centre.map((one, axis) => one + away[axis] * (1 / before - 1 / this.scale));
    this.place();
  }

  move(dx, dy) {
    this.centre = [this.centre[0] - dx / this.scale, this.centre[1] - dy / this.scale];
    this.place();
  }

  // Nucleotides.

  /** The nucleotide that is closest to a point in pixels; -1 where none is near. */
  nearest([px, py]) {
    const {points} = this.view;
    const x = this.centre[0] + (px - this.size.width / 2) / this.scale;
    const y = this.centre[1] + (py - this.size.height / 2) / this.scale;
    let found = -1, least = Math.max(RADIUS + 3, 8 / this.scale) ** 2;
    points.forEach(([x1, y1], place) => {
      const away = (x - x1) ** 2 + (y - y1) ** 2;
      if (away < least) [found, least] = [place, away];
    });
    return found;
  }

  /** Mark a nucleotide and its partner, and tell what they are. */
  choose(place) {
    if (place === this.chosen) return;
    this.chosen = place;
    this.mark(place);
    this.parts.output.textContent = place < 0 ? '' : this.tell(place);
    const typing = this.shadowRoot.activeElement === this.parts.input;
    if (place >= 0 && !typing) this.parts.input.value = place + 1;
  }

  tell(place) {
    const {partner, knots, unformed} = this.view;
    const name = (one) => `${this.rna.sequence[one]}${one + 1}`;
    const other = partner[place];
    const isIn = (pairs) => pairs.find((pair) => pair.includes(place));
    let told = other < 0 ? 'unpaired' : `pairs with ${name(other)}`;
    if (isIn(knots)) told += ' in a pseudoknot';
    const lost = isIn(unformed);
    if (lost && other < 0) told += `; its family pairs it with ${name(lost[0] === place ? lost[1] : lost[0])}`;
    return `${name(place)}, ${told}`;
  }

  mark(place) {
    this.marks.replaceChildren();
    if (place < 0) return;
    for (const one of [place, this.view.partner[place]]) {
      if (one < 0) continue;
      const [cx, cy] = this.view.points[one];
      const r = Math.max(RADIUS + 2.5, 5 / this.scale);
      add(this.marks, 'circle', {cx, cy, r, fill: 'none', stroke: 'var(--mark)', 'stroke-width': r / 4});
    }
  }

  /** Bring a nucleotide into view, its letter legible. */
  goTo(place) {
    if (!(place >= 0 && place < this.view.points.length)) return;
    this.choose(place);
    const [x, y] = this.view.points[place];
    const [width, height] = [this.size.width / this.scale, this.size.height / this.scale];
    const seen = Math.abs(x - this.centre[0]) < width / 2 - 10 && Math.abs(y - this.centre[1]) < height / 2 - 10;
    if (seen && FONT * this.scale >= LEGIBLE) return;
    this.scale = Math.max(this.scale, 1);
    this.centre = [x, y];
    this.place();
  }

  // Events.

  clicked(button) {
    if (!button) return;
    if (button.dataset.view) this.show(Number(button.dataset.view));
    const todo = {
      closer: () => this.zoom(1.5),
      farther: () => this.zoom(1 / 1.5),
      whole: () => { this.whole(); this.place(); },
      enlarge: () => (document.fullscreenElement ? document.exitFullscreen() : this.requestFullscreen()),
      copy: () => this.copy(button),
      svg: () => this.keep('svg', 'image/svg+xml', drawDocument(this.rna, this.view, SHORTEST_PICTURE).text),
      png: () => this.keepPicture(),
      dbn: () => this.keep('dbn', 'text/plain', dotBracket(this.rna, this.view)),
    }[button.dataset.do];
    if (todo) todo();
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 60;
    const todo = {
      ArrowLeft: () => this.move(step, 0),
      ArrowRight: () => this.move(-step, 0),
      ArrowUp: () => this.move(0, step),
      ArrowDown: () => this.move(0, -step),
      '+': () => this.zoom(1.25),
      '=': () => this.zoom(1.25),
      '-': () => this.zoom(0.8),
      '−': () => this.zoom(0.8),
      0: () => { this.whole(); this.place(); },
      Escape: () => this.svg.blur(), // the wheel scrolls the page again
    }[event.key];
    if (!todo) return;
    event.preventDefault();
    todo();
  }

  wheeled(event) {
    const meant = event.ctrlKey || event.metaKey || this.shadowRoot.activeElement === this.svg;
    if (!meant) return; // the page scrolls
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1;
    const turned = Math.max(-100, Math.min(100, event.deltaY * lines));
    this.zoom(Math.exp(-turned * 0.004), this.where(event));
  }

  where(event) {
    const {left, top} = this.svg.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  pointerdown(event) {
    if (event.button > 0) return;
    this.svg.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.where(event));
    this.moved = this.pointers.size > 1;
  }

  pointermove(event) {
    const here = this.where(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      this.choose(this.nearest(here));
      return;
    }
    const [dx, dy] = [here[0] - before[0], here[1] - before[1]];
    if (!this.moved && Math.hypot(dx, dy) < 4) return;
    this.moved = true;
    const other = [...this.pointers].find(([id]) => id !== event.pointerId);
    this.pointers.set(event.pointerId, here);
    if (!other) {
      this.move(dx, dy);
      return;
    }
    const apart = (one) => Math.hypot(one[0] - other[1][0], one[1] - other[1][1]) || 1;
    this.move(dx / 2, dy / 2);
    this.zoom(apart(here) / apart(before), [(here[0] + other[1][0]) / 2, (here[1] + other[1][1]) / 2]);
  }

  pointerup(event) {
    if (this.pointers.delete(event.pointerId) && !this.moved) this.choose(this.nearest(this.where(event)));
  }

  pointercancel(event) {
    this.pointers.delete(event.pointerId);
  }

  pointerleave({pointerType}) {
    // A finger leaves whenever it is lifted.
    if (pointerType === 'mouse' && !this.pointers.size) this.choose(-1);
  }

  // What a visitor takes away.

  keep(extension, type, content) {
    keepFile(`${fileName(this.rna.name)}-${this.view.kind}.${extension}`, type, content);
  }

  async keepPicture() {
    this.keep('png', 'image/png', await pictureOf(this.rna, this.view));
  }

  async copy(button) {
    const copied = await copyText(this.view.pairs);
    button.textContent = copied ? 'Copied' : 'Select it above';
    setTimeout(() => { button.textContent = 'Copy dot-bracket'; }, 2000);
  }
}

if (!customElements.get('rna-structure')) customElements.define('rna-structure', RnaStructure);
