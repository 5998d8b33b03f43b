// The question before slides are deleted.

/** Asks in the dialog whether to delete the slides; `confirmed` takes whether their files go, too. */
export function askForDeletion(dialog, slides, confirmed) {
  const [remove, cancel, source] = [".danger", ".cancel", "#source"].map(
    (selector) => dialog.querySelector(selector));
  source.checked = false;
  dialog.querySelector("ul").replaceChildren(...slides.map(({ id, review }) => {
    const item = document.createElement("li");
    item.textContent = [id, review.slide_id].filter(Boolean).join(", slide ID ");
    return item;
  }));
  cancel.onclick = () => dialog.close();
  remove.onclick = () => {
    dialog.close();
    confirmed(source.checked);
  };
  dialog.showModal();
}
