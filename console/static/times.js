// Moments in the viewer's time zone, each with its name; UTC, as the server wrote it, on hover.
const zone = new Intl.DateTimeFormat("en", { timeZoneName: "short" });
const zoneAt = (at) => zone.formatToParts(at).find((part) => part.type === "timeZoneName").value;
const two = (number) => String(number).padStart(2, "0");
const day = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
const clock = (at) => `${two(at.getHours())}:${two(at.getMinutes())}`;

// Returns a moment as people read it here.
export function local(iso) {
  const at = new Date(iso);
  return `${day(at)} ${clock(at)} ${zoneAt(at)}`;
}

// Shows all moments below an element so.
export function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    if (!time.title) time.title = time.textContent;
    time.textContent = local(time.dateTime);
  }
  for (const option of root.querySelectorAll("option[data-at]")) // which holds no element
    option.textContent = option.textContent.replace(/[-\d]{10} [:\d]{5} UTC/, local(option.dataset.at));
}

// Inputs of a form hold what is UTC on the server as it is called here, and say so.
export function localInputs(form) {
  for (const input of form.querySelectorAll("input[data-kind=date]")) {
    const at = new Date(input.defaultValue ? `${input.defaultValue}Z` : Date.now());
    if (input.defaultValue) input.defaultValue = `${day(at)}T${clock(at)}`;
    form.querySelector(`label[for="${input.id}"]`)?.append(` (${zoneAt(at)})`);
  }
}
