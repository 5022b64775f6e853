// One verdict at a time, and none without initials. What is pressed meanwhile is refused, and the page says so: it would
// be a verdict on an image that nobody has seen.
const PATIENCE_MS = 15000;
const NO_ANSWER = 'No answer from the program yet. Is it still running in its terminal?';
let busySince = 0;

function say(words) {
  const line = document.getElementById('rv-refusal');
  if (!line) return;
  line.textContent = words;
  line.hidden = !words;
}

window.reviewIsReady = () => { // the page calls it when the program has answered
  busySince = 0;
  document.body.classList.remove('rv-busy');
  if (document.getElementById('rv-refusal')?.textContent === NO_ANSWER) say('');
};

function isEarly(name) {
  if (!busySince || Date.now() - busySince >= PATIENCE_MS) return '';
  return `Not taken: “${name}” came before the next image was shown. Look at it, and press again.`;
}

function startWaiting() {
  const since = Date.now();
  busySince = since;
  document.body.classList.add('rv-busy');
  setTimeout(() => {
    if (busySince === since) say(NO_ANSWER);
  }, PATIENCE_MS);
}

window.reviewTakes = (name) => { // the picture of the field asks before it sends anything
  const words = isEarly(name);
  say(words);
  if (!words) startWaiting();
  return !words;
};

function refusal(button) {
  const early = isEarly(button.textContent.trim().replace(/\s+/g, ' '));
  if (early) return early;
  const initials = document.querySelector('#rv-reviewer textarea, #rv-reviewer input');
  if (button.id !== 'rv-back' && button.id !== 'rv-skip' && button.closest('#rv-actions') && !initials?.value.trim()) {
    initials?.focus();
    return 'Not taken: fill in your initials first. They are kept with each verdict.';
  }
  return '';
}

document.addEventListener('click', (event) => {
  const button = event.target.closest('#rv-actions button, #rv-worklist [data-position]');
  if (!button) return;
  const words = refusal(button);
  say(words);
  if (words) {
    event.preventDefault();
    event.stopImmediatePropagation();
    return;
  }
  startWaiting();
}, true);

// One key for each button, except while somebody is typing. A key that is held down counts once.
const KEYS = { a: 'rv-agree', 0: 'rv-cannot_tell', x: 'rv-no_cell', j: 'rv-field-back', k: 'rv-field-next', ArrowLeft: 'rv-back', ArrowRight: 'rv-skip' };
for (let digit = 1; digit <= 9; digit++) KEYS[digit] = `rv-choose_${digit}`;

document.addEventListener('keydown', (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.closest('input, textarea, [contenteditable]')) {
    if (event.key === 'Escape' || (event.key === 'Enter' && event.target.closest('#rv-comment, #rv-reviewer'))) event.target.blur();
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
