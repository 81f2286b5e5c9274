// A page is shown before its scripts are there. What is pressed by then waits, and is pressed again once they are.
// No module: it runs before anything is shown. The page's own module says `page:ready` at its end.
{
  const WAITING = "aria-busy";
  let again;
  const keep = (event, element, repeat) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    document.querySelector(`[${WAITING}]`)?.removeAttribute(WAITING); // the last press is what is meant
    element.setAttribute(WAITING, "true");
    again = () => (element.removeAttribute(WAITING), element.isConnected && repeat());
  };
  const kept = {
    click(event) {
      const button = event.target.closest("button");
      if (button && (button.type === "button" || !button.form)) keep(event, button, () => button.click());
    },
    submit(event) {
      const form = event.target; // one that names an address works without a script
      if (!form.hasAttribute("action")) keep(event, form.querySelector("button"), () => form.requestSubmit());
    },
    change(event) {
      const input = event.target;
      if (input.type === "file") keep(event, input, () => input.dispatchEvent(new Event("change", { bubbles: true })));
    },
  };
  for (const kind of Object.keys(kept)) addEventListener(kind, kept[kind], true);
  document.addEventListener("page:ready", () => {
    for (const kind of Object.keys(kept)) removeEventListener(kind, kept[kind], true);
    again?.();
  }, { once: true });
}
