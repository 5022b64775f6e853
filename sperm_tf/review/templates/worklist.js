element.addEventListener('click', (event) => {
  const entry = event.target.closest('[data-position]');
  if (entry) trigger('click', { position: Number(entry.dataset.position) });
});
watch('value', () => {
  const list = element.querySelector('ol');
  const current = element.querySelector('[aria-current]');
  if (!list || !current) return;
  // Only the list scrolls, never the page.
  list.scrollTop = current.offsetTop - list.offsetTop - list.clientHeight / 3;
  list.scrollLeft = current.offsetLeft - list.offsetLeft - list.clientWidth / 3;
});
