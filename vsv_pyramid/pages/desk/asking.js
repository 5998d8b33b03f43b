// The questions before what cannot be undone.

/** Asks in the dialog about the slides; `confirmed` is called with what is checked there, if so. */
export function ask(dialog, slides, confirmed) {
  const [confirm, cancel, box] = [".confirm", ".cancel", "[type=checkbox]"].map(
    (selector) => dialog.querySelector(selector));
  if (box) {
    box.checked = false;
  }
  dialog.querySelector("ul").replaceChildren(...slides.map(({ id, review }) => {
    const item = document.createElement("li");
    item.textContent = [id, review.slide_id && `slide ID ${review.slide_id}`, review.status]
      .filter(Boolean).join(", ");
    return item;
  }));
  cancel.onclick = () => dialog.close();
  confirm.onclick = () => {
    dialog.close();
    confirmed(box?.checked);
  };
  dialog.showModal();
}
