// A box that is dragged, or a click, on the picture of the field; in pixels of the field, whatever its size on the page.
const MIN_DRAG_PX = 5;
let start = null;

function place(event) {
  const svg = element.querySelector('svg[data-field]');
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  return [point.x, point.y];
}

function draw(event) {
  const rubber = element.querySelector('.rv-rubber');
  if (!rubber || !start) return;
  const [x, y] = place(event);
  rubber.setAttribute('x', Math.min(x, start.x));
  rubber.setAttribute('y', Math.min(y, start.y));
  rubber.setAttribute('width', Math.abs(x - start.x));
  rubber.setAttribute('height', Math.abs(y - start.y));
  rubber.setAttribute('visibility', 'visible');
}

element.addEventListener('pointerdown', (event) => {
  const svg = event.target.closest('svg[data-field]');
  if (!svg || event.button) return;
  const [x, y] = place(event);
  start = { x, y, clientX: event.clientX, clientY: event.clientY, cell: event.target.closest('[data-cell]') };
  svg.setPointerCapture(event.pointerId);
  event.preventDefault();
});

element.addEventListener('pointermove', draw);

element.addEventListener('pointerup', (event) => {
  if (!start) return;
  const from = start;
  start = null;
  element.querySelector('.rv-rubber')?.setAttribute('visibility', 'hidden');
  const field = element.querySelector('svg[data-field]').dataset.field;
  const isDrag = Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY) >= MIN_DRAG_PX;
  const cell = isDrag ? null : from.cell;
  if (!window.reviewTakes(cell ? 'the cell' : 'the box')) return;
  const box = cell?.dataset.box.split(' ').map(Number) ?? [from.x, from.y, ...(isDrag ? place(event) : [from.x, from.y])];
  trigger('click', { what: cell && Number(cell.dataset.cell) ? 'cell' : 'box', field, cell: Number(cell?.dataset.cell ?? 0), box });
});

element.addEventListener('pointercancel', () => {
  start = null;
  element.querySelector('.rv-rubber')?.setAttribute('visibility', 'hidden');
});

element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-leaf]');
  if (button && window.reviewTakes('the field')) trigger('click', { what: 'leaf', step: Number(button.dataset.leaf) });
});
