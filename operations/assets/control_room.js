// Draws the charts of the control room with uPlot, and says how old the page is. Without it, the tables say the same.
"use strict";
(() => {
  const colors = ["--bar", "--below", "--duplicate", "--withdrawn", "--superseded", "--good", "--link", "--soft"];
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const date = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 10);
  const short = (value) =>
    value === null || value === undefined ? "–" : value.toLocaleString("en", { maximumFractionDigits: 2, notation: Math.abs(value) >= 1e5 ? "compact" : "standard" });

  // Periods that are not complete are hatched, whatever is drawn in them, and named where there is room.
  const hatch = (marks) => (plot) => {
    const { ctx, bbox } = plot;
    const edge = (day) => plot.valToPos(day - 43200, "x", true);
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const [from, to, name] of marks) {
      const left = Math.max(edge(from), bbox.left), right = Math.min(edge(to + 86400), bbox.left + bbox.width);
      if (right <= left) continue;
      ctx.save();
      ctx.beginPath();
      ctx.rect(left, bbox.top, right - left, bbox.height);
      ctx.clip();
      ctx.strokeStyle = css("--edge");
      ctx.lineWidth = devicePixelRatio;
      ctx.beginPath();
      for (let x = left - bbox.height; x < right; x += 8 * devicePixelRatio) {
        ctx.moveTo(x, bbox.top + bbox.height);
        ctx.lineTo(x + bbox.height, bbox.top);
      }
      ctx.stroke();
      ctx.restore();
      ctx.textAlign = "left";
      ctx.textBaseline = "alphabetic";
      ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
      if (ctx.measureText(name).width < right - left - 4 * devicePixelRatio) {
        const wide = ctx.measureText(name).width + 6 * devicePixelRatio, x = (left + right) / 2 - wide / 2;
        ctx.fillStyle = css("--card");
        ctx.fillRect(x, bbox.top + 2, wide, 18 * devicePixelRatio);
        ctx.fillStyle = css("--bad");
        ctx.fillText(name, x + 3 * devicePixelRatio, bbox.top + 15 * devicePixelRatio);
      }
    }
    ctx.restore();
  };

  const draw = (place, told) => {
    const axis = (size) => ({ stroke: css("--soft"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 }, size, font: "12px system-ui, sans-serif" });
    const series = told.series.flatMap((one, number) => {
      const stroke = css(colors[number % colors.length]);
      const line = { label: one.name, stroke, width: 2, points: { show: told.days.length < 40, size: 5, fill: stroke }, value: (_, value) => short(value) };
      return one.partial.some((value) => value !== null) ? [line, { ...line, label: `${one.name}, incomplete`, dash: [3, 4], points: { show: true, size: 6 } }] : [line];
    });
    const values = told.series.flatMap((one) => (one.partial.some((value) => value !== null) ? [one.values, one.partial] : [one.values]));
    place.replaceChildren();
    return new uPlot({
      width: place.clientWidth,
      height: 240,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { x: { time: true }, y: told.log ? { distr: 3 } : { range: (_, least, most) => (least === null ? [0, 1] : [Math.min(0, least), Math.max(most * 1.05, least < 0 ? 0 : 1e-9)]) } },
      axes: [{ ...axis(36), values: (_, ticks) => ticks.map((tick) => (tick % 86400 ? "" : date(tick).slice(ticks[1] - ticks[0] < 2400000 ? 5 : 0, ticks[1] - ticks[0] < 2400000 ? 10 : 7))) }, { ...axis(56), values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : short(tick))) }],
      series: [{ label: "Date", value: (_, value) => (value === null || value === undefined ? "–" : date(value)) }, ...series],
      hooks: { drawAxes: [hatch(told.marks)] },
    }, [told.days, ...values], place);
  };

  const told = JSON.parse(document.getElementById("series").textContent);
  const places = [...document.querySelectorAll("[data-chart]")].filter((place) => (told[place.dataset.chart]?.days.length ?? 0) > 1);
  for (const place of places) place.hidden = false;
  const drawAll = () => places.forEach((place) => draw(place, told[place.dataset.chart]));
  let width = 0;
  const redraw = () => {
    if (document.body.clientWidth !== width) {
      width = document.body.clientWidth;
      drawAll();
    }
  };
  redraw();
  addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

  const age = document.getElementById("age");
  const hours = (Date.now() - Date.parse(document.getElementById("written").dateTime)) / 3600000;
  if (hours >= 1) age.textContent = hours < 48 ? `, ${Math.floor(hours)} h ago` : `, ${Math.floor(hours / 24)} days ago`;
  if (hours > 26) document.getElementById("old").hidden = false;
})();
