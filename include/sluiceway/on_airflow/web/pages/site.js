"use strict";
(() => {
  // Airflow's page around this one; null on a page of its own. Another origin's document may not be read.
  const frame = (() => {
    try { return window.parent !== window && window.parent.document ? window.parent : null; } catch { return null; }
  })();

  if (frame) {
    const outer = frame.document.documentElement;
    const follow = () => {
      for (const each of ["light", "dark"]) document.documentElement.classList.toggle(each, outer.classList.contains(each));
    };
    follow();
    new MutationObserver(follow).observe(outer, { attributeFilter: ["class"] });

    // the frame's sandbox lets no link of this page lead it away: one of Airflow's own page may
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-airflow]");
      if (!link || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      const there = frame.document.createElement("a");
      there.href = link.href;
      frame.document.body.append(there);
      there.click();
      there.remove();
    });
  }

  const part = (text) => Object.assign(document.createElement("span"), { textContent: text });

  document.addEventListener("DOMContentLoaded", () => {
    const local = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "short" });
    for (const time of document.querySelectorAll("time")) {
      const here = local.format(new Date(time.dateTime));
      const utc = time.textContent;
      if (utc === `${here} UTC`) continue;
      const isSameDay = utc.slice(0, 10) === here.slice(0, 10);
      time.replaceChildren(part(here), " ", part(`(${isSameDay ? utc.slice(11) : utc})`));
    }

    // what a page says was so at that moment: it tells how long ago that is, and is made anew for who comes back to it
    const computed = document.querySelector("[data-computed] time");
    if (!computed) return;
    const minutes = () => Math.floor((Date.now() - new Date(computed.dateTime)) / 60000);
    const age = part("");
    computed.after(age);
    setInterval(() => { age.textContent = minutes() > 0 ? `, ${minutes()} min ago` : ""; }, 5000);
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible" && minutes() > 0) window.location.reload();
    });
  });
})();
