// One key for each button, except while somebody is typing. A key that is held down counts once.
const KEYS = { a: 'rv-agree', 0: 'rv-cannot_tell', ArrowLeft: 'rv-back', ArrowRight: 'rv-skip' };
for (let digit = 1; digit <= 9; digit++) KEYS[digit] = `rv-choose_${digit}`;

document.addEventListener('keydown', (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.closest('input, textarea, [contenteditable]')) {
    if (event.key === 'Escape' || (event.key === 'Enter' && event.target.closest('#rv-comment'))) event.target.blur();
    return;
  }
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key; // Caps Lock may be on
  if (key === 'c') {
    document.querySelector('#rv-comment textarea, #rv-comment input')?.focus();
    event.preventDefault();
    return;
  }
  const button = document.getElementById(KEYS[key]);
  if (button?.offsetParent) {
    event.preventDefault();
    button.click();
  }
});
