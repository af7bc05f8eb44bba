// Secondary structures as SVG: on the page, and as a document of its own. Units are those of
// ViennaRNA's layout, in which neighbours are 25 apart.
//
// fornac draws with d3 3 and jQuery 2 and moves nucleotides by forces, so that a long RNA never
// comes to rest; R2DT's and RNAcanvas' viewers fetch what they draw from their own servers;
// svg-pan-zoom and @panzoom/panzoom know neither the keyboard nor what to leave out of a long RNA
// seen from afar. None is taken.

const SVG = 'http://www.w3.org/2000/svg';
const FILLS = {A: '#9fd49f', C: '#8fc1ee', G: '#f5c26b', U: '#f0a0a0'};
const OTHER_FILL = '#d0d0d0';
const RADIUS = 11;
const FONT = 14;
const LABEL = 30;
const FONTS = 'Helvetica, Arial, sans-serif';
const ON_PAGE = {line: 'currentColor', paper: 'var(--paper)', knot: 'var(--knot)', outside: 'var(--paper)'};
const ON_WHITE = {line: '#222222', paper: '#ffffff', knot: '#7c3aed', outside: '#ffffff'};
const OPENING = {'(': ')', '[': ']', '{': '}', '<': '>'};

function add(parent, tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  parent.appendChild(element);
  return element;
}

/** Base pairs of dots and brackets: `partner` of each nucleotide, -1 without, and what crosses. */
function readPairs(dots) {
  const waiting = {};
  const partner = new Array(dots.length).fill(-1);
  const nested = [], knots = [];
  [...dots].forEach((letter, place) => {
    if (letter === '.') return;
    const closing = OPENING[letter] || (/[A-Z]/.test(letter) && letter.toLowerCase());
    if (closing) {
      (waiting[closing] ||= []).push(place);
      return;
    }
    const first = waiting[letter].pop();
    [partner[first], partner[place]] = [place, first];
    (letter === ')' ? nested : knots).push([first, place]);
  });
  return {partner, nested, knots};
}

/** A structure of the page's data with what is read from it: points, pairs, box. */
function readView(view, sequence) {
  const points = [];
  for (let at = 0; at < view.places.length; at += 2) {
    points.push([view.places[at], view.places[at + 1]]);
  }
  const inside = new Array(sequence.length).fill(view.parts.length === 0);
  for (const [start, end] of view.parts) inside.fill(true, start - 1, end);
  const xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  const box = {x, y, w: Math.max(...xs) - x, h: Math.max(...ys) - y};
  return {...view, sequence, points, inside, box, ...readPairs(view.pairs)};
}

/** The box of a structure with its numbers, which are `size` times as large as usual. */
function boxWithLabels(view, size) {
  const {x, y, w, h} = view.box;
  const edge = RADIUS + 6;
  let [left, top, right, bottom] = [x - edge, y - edge, x + w + edge, y + h + edge];
  for (const [place, text, dx, dy] of view.labels) {
    const [px, py] = view.points[place];
    const {across, down, width} = placeLabel(text, dx, dy);
    const [cx, cy] = [px + size * across, py + size * down];
    left = Math.min(left, cx - (size * width) / 2);
    right = Math.max(right, cx + (size * width) / 2);
    top = Math.min(top, cy - size * FONT);
    bottom = Math.max(bottom, cy + size * FONT);
  }
  return {x: left, y: top, w: right - left, h: bottom - top};
}

/** Where the middle of a number is from its nucleotide; long ones end where their tick begins. */
function placeLabel(text, dx, dy) {
  return {across: dx * (LABEL + 4 * (text.length - 2)), down: dy * LABEL, width: 0.6 * FONT * text.length};
}

/** The layers of a drawing, below each other, and the numbers, whose size follows the scale. */
function drawLayers(svg, view, ink) {
  const {points, sequence} = view;
  const at = (place) => points[place].map((one) => one.toFixed(1)).join(' ');
  const lines = (pairs) => pairs.map(([one, other]) => `M${at(one)}L${at(other)}`).join('');
  const wobble = ([one, other]) => 'GUG'.includes(sequence[one] + sequence[other]);
  const stroke = {fill: 'none', stroke: ink.line, 'stroke-linecap': 'round'};
  const layers = {
    backbone: add(svg, 'polyline', {...stroke, points: points.join(' '), opacity: 0.4}),
    pairs: add(svg, 'path', {...stroke, class: 'pairs', d: lines(view.nested)}),
    unformed: add(svg, 'path', {
      ...stroke, class: 'unformed', d: lines(view.unformed), 'stroke-dasharray': '3 3', opacity: 0.7,
    }),
    knots: add(svg, 'path', {
      ...stroke, class: 'knots', stroke: ink.knot, d: view.knots.map((pair) => bow(points, pair)).join(''),
    }),
  };
  layers.wobbles = add(svg, 'g', {class: 'wobbles', fill: ink.line});
  for (const [one, other] of view.nested.filter(wobble)) {
    const [x, y] = [0, 1].map((axis) => (points[one][axis] + points[other][axis]) / 2);
    add(layers.wobbles, 'circle', {cx: x.toFixed(1), cy: y.toFixed(1), r: 3});
  }
  layers.nucleotides = add(svg, 'g', {class: 'nucleotides', 'stroke-width': 2});
  const text = {'font-size': FONT, 'text-anchor': 'middle', 'pointer-events': 'none'};
  layers.letters = add(svg, 'g', {...text, class: 'letters'});
  points.forEach(([x, y], place) => {
    const letter = sequence[place];
    const colour = FILLS[letter] || OTHER_FILL;
    const inside = view.inside[place];
    add(layers.nucleotides, 'circle', {
      cx: x, cy: y, r: inside ? RADIUS : RADIUS - 1, fill: inside ? colour : ink.outside, stroke: colour,
    });
    const fill = inside ? '#000000' : ink.line;
    add(layers.letters, 'text', {x, y: (y + 4.9).toFixed(1), fill}, letter);
  });
  layers.labels = add(svg, 'g', {...text, class: 'labels', fill: ink.line});
  for (const [place, ...label] of view.labels) drawLabel(layers.labels, points[place], ...label, ink);
  return layers;
}

/** A number with its tick, about the nucleotide as its origin; `fitLayers` sets place and size. */
function drawLabel(parent, [x, y], text, dx, dy, ink) {
  const group = add(parent, 'g', {});
  const tick = {x2: dx * (LABEL - 9), y2: dy * (LABEL - 9), stroke: ink.line, opacity: 0.6};
  add(group, 'line', tick);
  const place = placeLabel(text, dx, dy);
  add(group, 'text', {
    x: place.across.toFixed(1), y: (place.down + 4.9).toFixed(1),
    stroke: ink.paper, 'stroke-width': 3, 'paint-order': 'stroke', 'stroke-linejoin': 'round',
  }, text);
  group.label = {x, y, dx, dy, ...place, rank: rankOf(text)};
}

/** Which of two numbers stays where there is room for one: the ends, then the rounder one. */
function rankOf(text) {
  if (text.includes('′')) return 0;
  const number = Number(text.replaceAll(',', ''));
  return 1 + [1000, 500, 200, 100, 50, 20, 10].findIndex((round) => number % round === 0);
}

/** A bow between two nucleotides of a pseudoknot, which so differs from the pairs it crosses. */
function bow(points, [one, other]) {
  const [[x1, y1], [x2, y2]] = [points[one], points[other]];
  const [x, y] = [(x1 + x2) / 2 - (y2 - y1) / 5, (y1 + y2) / 2 + (x2 - x1) / 5];
  return `M${x1} ${y1}Q${x.toFixed(1)} ${y.toFixed(1)} ${x2} ${y2}`;
}

/** Line widths and the size of numbers for a scale in pixels a unit: neither gets too thin. */
function fitLayers(layers, scale, least) {
  const width = Math.max(1.6, 0.9 / scale);
  for (const name of ['backbone', 'pairs', 'unformed', 'knots']) {
    layers[name].setAttribute('stroke-width', width.toFixed(2));
  }
  layers.backbone.setAttribute('stroke-width', (1.4 * width).toFixed(2));
  const size = Math.max(1, least / (FONT * scale));
  const taken = [];
  const labels = [...layers.labels.children].sort((one, other) => one.label.rank - other.label.rank);
  for (const group of labels) {
    const {x, y, dx, dy, across, down, width: w} = group.label;
    // The tick begins at the nucleotide, which stays as small as it is.
    const edge = (RADIUS + 1) / size;
    group.firstChild.setAttribute('x1', (dx * edge).toFixed(2));
    group.firstChild.setAttribute('y1', (dy * edge).toFixed(2));
    const [cx, cy, half] = [x + size * across, y + size * down, (size * w) / 2];
    const crowded = taken.some((one) => Math.abs(one.cx - cx) < one.half + half + 3 * size &&
      Math.abs(one.cy - cy) < FONT * size * 1.1);
    group.style.display = crowded ? 'none' : '';
    if (!crowded) taken.push({cx, cy, half});
    group.setAttribute('transform', `translate(${x} ${y}) scale(${size.toFixed(3)})`);
  }
}

function titleOf(rna, view) {
  const pairs = view.nested.length + view.knots.length;
  return `Secondary structure of ${rna.name}: ${pairs} base pairs of ${view.sequence.length} nucleotides`;
}

/** A document of its own: colours resolved, on white, as wide or high as `longest` pixels. */
function drawDocument(rna, view, longest) {
  const extent = Math.max(view.box.w, view.box.h, 1);
  const enlarged = Math.max(1, extent / 1500); // so that numbers can be read on a page
  const {x, y, w, h} = boxWithLabels(view, enlarged);
  const scale = longest / Math.max(w, h);
  const size = {width: Math.round(w * scale), height: Math.round(h * scale)};
  const svg = document.createElementNS(SVG, 'svg');
  const attributes = {
    ...size, version: '1.1', 'font-family': FONTS,
    viewBox: [x, y, w, h].map((one) => one.toFixed(1)).join(' '),
  };
  for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, value);
  add(svg, 'title', {}, titleOf(rna, view));
  add(svg, 'desc', {}, view.told);
  add(svg, 'rect', {x, y, width: w, height: h, fill: '#ffffff'});
  fitLayers(drawLayers(svg, view, ON_WHITE), 1 / enlarged, FONT);
  const text = new XMLSerializer().serializeToString(svg);
  return {...size, text: `<?xml version="1.0" encoding="UTF-8"?>\n${text}\n`};
}
