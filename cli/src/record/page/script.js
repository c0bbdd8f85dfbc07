// Zoom and hover; everything else works without.
document.documentElement.classList.add("js");
for (const timeline of document.querySelectorAll(".timeline")) {
  const lanes = [...timeline.querySelectorAll(".lanes svg")];
  const ticks = [...timeline.querySelectorAll(".axis span")];
  const told = timeline.querySelector("output");
  const wall = Number(timeline.dataset.wall);
  let from = 0, width = 1000;
  const time = (seconds) =>
    seconds < 1e-3 ? (seconds * 1e6).toFixed(1) + " us" : seconds < 1 ? (seconds * 1e3).toFixed(2) + " ms" : seconds.toFixed(3) + " s";
  const show = () => {
    width = Math.min(1000, Math.max(1, width));
    from = Math.min(1000 - width, Math.max(0, from));
    for (const lane of lanes) lane.setAttribute("viewBox", `${from} 0 ${width} 20`);
    ticks.forEach((tick, n) => (tick.textContent = time((wall * (from + (width * n) / (ticks.length - 1))) / 1000)));
  };
  const zoom = (factor, middle = 0.5) => {
    const at = from + width * middle;
    width = Math.min(1000, Math.max(1, width * factor));
    from = at - width * middle;
    show();
  };
  const move = (part) => { from += width * part; show(); };
  const acts = { in: () => zoom(0.5), out: () => zoom(2), left: () => move(-0.25), right: () => move(0.25), all: () => { from = 0; width = 1000; show(); } };
  for (const button of timeline.querySelectorAll("button")) button.addEventListener("click", acts[button.dataset.act]);
  const tell = (piece) => { const title = piece && piece.querySelector && piece.querySelector("title"); if (title) told.textContent = title.textContent; };
  for (const lane of lanes) {
    lane.addEventListener("pointerover", (event) => tell(event.target.closest("rect")));
    lane.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      const box = lane.getBoundingClientRect();
      zoom(event.deltaY < 0 ? 0.8 : 1.25, (event.clientX - box.left) / box.width);
    }, { passive: false });
    let at = -1;
    lane.addEventListener("keydown", (event) => {
      const pieces = lane.querySelectorAll("rect");
      const keys = { ArrowRight: 1, ArrowLeft: -1, Home: -pieces.length, End: pieces.length };
      if (event.key === "+" || event.key === "=") acts.in();
      else if (event.key === "-") acts.out();
      else if (event.key === "0") acts.all();
      else if (event.key in keys) {
        at = Math.min(pieces.length - 1, Math.max(0, at + keys[event.key]));
        tell(pieces[at]);
      } else return;
      event.preventDefault();
    });
  }
}
