"use strict";
// Surfaces that can be turned: by dragging, or by the arrow keys. All of a page turn together, so that they compare.
const turnable = (() => {
  const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];  // dark is low
  const view = { turn: 0.6, tilt: 0.55 }, shown = [];

  function color(share) {
    const at = Math.min(Math.max(share, 0), 0.9999) * (RAMP.length - 1), i = Math.floor(at);
    return `rgb(${RAMP[i].map((from, k) => Math.round(from + (at - i) * (RAMP[i + 1][k] - from)))})`;
  }

  const redraw = () => shown.forEach((draw) => draw());

  // canvas; points a side; losses of the grid, x fastest, null where there is none; [least, most] of the scale, which is
  // logarithmic; told: is called with the place in the grid that the pointer is nearest to, and null when it leaves
  return function (canvas, points, losses, [least, most], told) {
    const share = (loss) => Math.log(loss / least) / Math.log(most / least || 2), middle = (points - 1) / 2;
    let places = [];

    function draw() {
      const width = canvas.clientWidth, height = canvas.clientHeight, ratio = devicePixelRatio || 1;
      if (!width) return;
      Object.assign(canvas, { width: width * ratio, height: height * ratio });
      const pen = canvas.getContext("2d"), scale = Math.min(width / 3, height / 2.6), { turn, tilt } = view;
      const project = (i, j, up) => {
        const x = i / middle - 1, y = j / middle - 1, near = x * Math.sin(turn) + y * Math.cos(turn);
        return [width / 2 + scale * (x * Math.cos(turn) - y * Math.sin(turn)),
          height / 2 + scale * (near * Math.sin(tilt) - (1.3 * up - 0.65) * Math.cos(tilt)), near];
      };
      pen.scale(ratio, ratio);
      pen.lineJoin = "round";
      places = losses.map((loss, at) => (loss === null ? null : project(at % points, Math.floor(at / points), share(loss))));
      const cells = [];
      for (let j = 0; j + 1 < points; j++) for (let i = 0; i + 1 < points; i++) {
        const corners = [j * points + i, j * points + i + 1, (j + 1) * points + i + 1, (j + 1) * points + i];
        if (corners.some((at) => places[at] === null)) continue;
        const sum = (of) => corners.reduce((total, at) => total + of(at), 0) / 4;
        cells.push([sum((at) => places[at][2]), sum((at) => share(losses[at])), corners]);
      }
      cells.sort((a, b) => a[0] - b[0]);  // far ones first
      const outline = getComputedStyle(canvas).color;
      for (const [, high, corners] of cells) {
        pen.beginPath();
        corners.forEach((at) => pen.lineTo(places[at][0], places[at][1]));
        pen.closePath();
        pen.fillStyle = color(high);
        pen.fill();
        pen.strokeStyle = outline;
        pen.globalAlpha = 0.25;
        pen.lineWidth = 0.6;
        pen.stroke();
        pen.globalAlpha = 1;
      }
      const own = losses[(losses.length - 1) / 2];
      if (own !== null && own !== undefined) {  // the network itself, in the middle of an odd number of points
        const [x, y] = project(middle, middle, share(own));
        pen.beginPath();
        pen.arc(x, y, 4, 0, 2 * Math.PI);
        pen.fillStyle = "#ffffff";
        pen.fill();
        pen.strokeStyle = "#000000";
        pen.lineWidth = 1.5;
        pen.stroke();
      }
    }

    function turn(across, down) {
      view.turn += across;
      view.tilt = Math.min(Math.max(view.tilt + down, 0), Math.PI / 2);
      redraw();
    }

    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) return turn(event.movementX / 120, event.movementY / 120);
      let best = -1, least = 400;
      places.forEach((place, at) => {
        const far = place ? (place[0] - event.offsetX) ** 2 + (place[1] - event.offsetY) ** 2 : Infinity;
        if (far < least) [best, least] = [at, far];
      });
      told(best < 0 ? null : best);
    });
    canvas.addEventListener("pointerleave", () => told(null));
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
      if (!step) return;
      event.preventDefault();
      turn(...step);
    });
    const observer = new ResizeObserver(draw);
    observer.observe(canvas);
    shown.push(draw);
    draw.end = () => {
      observer.disconnect();
      shown.splice(shown.indexOf(draw), 1);
    };
    return draw;
  };
})();
