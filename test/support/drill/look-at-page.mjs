// Evaluated in a page of the report: where texts and lines are, and what is wrong with them.
/* global document, getComputedStyle */
function lookAtPage() {
  const luminance = (colour) => {
    const [r = 0, g = 0, b = 0] = (colour.match(/[\d.]+/gu) ?? []).map((part) => {
      const share = Number(part) / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const paper = getComputedStyle(document.body).backgroundColor;
  const charts = [...document.querySelectorAll('figure svg')].filter(
    (svg) => svg.getBoundingClientRect().width > 0 && svg.closest('details:not([open])') === null,
  );
  return {
    paper,
    width: document.documentElement.clientWidth,
    scrolled: document.documentElement.scrollWidth,
    charts: charts.map((svg) => {
      const frame = svg.getBoundingClientRect();
      const texts = [...svg.querySelectorAll('text')].filter((one) => (one.textContent ?? '').trim() !== '');
      const boxes = texts.map((one) => {
        const { left, right, top, bottom } = one.getBoundingClientRect();
        return { text: one.textContent ?? '', left, right, top, bottom };
      });
      const overlapping = boxes.flatMap((a, i) =>
        boxes
          .slice(i + 1)
          .filter(
            (b) =>
              Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
              Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3,
          )
          .map((b) => `${a.text} / ${b.text}`),
      );
      return {
        texts: boxes.map((box) => box.text),
        lines: [...svg.querySelectorAll('path')].filter(
          (one) => one.getAttribute('fill') === 'none' && one.getBoundingClientRect().width > 40,
        ).length,
        overlapping,
        outside: boxes
          .filter(
            (box) =>
              box.left < frame.left - 1 ||
              box.right > frame.right + 1 ||
              box.top < frame.top - 1 ||
              box.bottom > frame.bottom + 1,
          )
          .map((box) => box.text),
        faint: texts
          .filter((one) => !/^\d+$/u.test(one.textContent ?? '') || Number(one.textContent) === 0)
          .filter((one) => contrast(getComputedStyle(one).fill, paper) < 4.5)
          .map((one) => one.textContent ?? ''),
      };
    }),
  };
}
