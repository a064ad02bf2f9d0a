/**
 * What is on its way: answers, pictures, and the pauses before either. The page says as `data-pending` how much that
 * is, for whoever waits until it has come to rest.
 */

let count = 0;

function counted(step) {
  count += step;
  document.documentElement.dataset.pending = String(count);
}

/**
 * Counts a piece of work until it is over, however it ends.
 * @template T
 * @param {Promise<T>} work
 * @returns {Promise<T>} the same
 */
export function pending(work) {
  counted(1);
  const over = () => counted(-1);
  work.then(over, over);
  return work;
}
