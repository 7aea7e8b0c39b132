// What is pointed at, at once and beside the pointer. Without this the browser shows the same
// text as a tooltip, and the tables hold all of it.
const tip = document.createElement('div');
tip.className = 'tip';
tip.hidden = true;
document.body.append(tip);
for (const spot of document.querySelectorAll('.spot')) {
  const title = spot.querySelector('title');
  const text = title.textContent;
  spot.setAttribute('aria-label', text);
  spot.addEventListener('pointerenter', () => {
    title.textContent = '';
    tip.textContent = text;
    tip.hidden = false;
  });
  spot.addEventListener('pointerleave', () => {
    title.textContent = text;
    tip.hidden = true;
  });
}
document.addEventListener('pointermove', (event) => {
  const room = document.documentElement.clientWidth - tip.offsetWidth - 12;
  tip.style.left = Math.max(4, Math.min(event.clientX + 16, room)) + 'px';
  tip.style.top = Math.max(4, event.clientY - tip.offsetHeight - 12) + 'px';
});
