/** A bar that says while the server does not answer that nothing is lost. */

import { h, show } from "../elements/dom.js";
import { connection } from "../net/connection.js";
import { t } from "../state/texts.js";

/** @param {AbortSignal} signal ends it */
export function makeReconnecting(signal) {
  const element = h("div.reconnecting", { role: "status" }, h("span.spinner"), h("span", {}, t("reconnecting")));
  const told = () => show(element, connection.lost);
  connection.addEventListener("change", told, { signal });
  told();
  return element;
}
