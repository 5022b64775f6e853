// A map that came after its card goes into that card, and into no other.
watch('value', () => {
  const late = element.querySelector('[data-late-map]');
  const figure = late && document.querySelector(`[data-map-of="${late.dataset.lateMap}"]`);
  if (figure) figure.replaceChildren(...late.childNodes);
});
