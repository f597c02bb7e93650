import { element, inside } from "./dom.ts";

/** Lets a button open a dialog whose form does `submit`, which gives what is wrong, or `null` to close it. */
export function bindDialog(
  dialogId: string,
  button: HTMLElement,
  submit: () => Promise<string | null>,
): { open(): void } {
  const dialog = element(dialogId, HTMLDialogElement);
  const form = inside(dialog, "form", HTMLFormElement);
  const problem = inside(dialog, ".error", HTMLElement);
  const submitButton = inside(dialog, "button[type=submit]", HTMLButtonElement);
  inside(dialog, ".cancel", HTMLButtonElement).onclick = () => dialog.close();
  form.onsubmit = async (event) => {
    event.preventDefault();
    problem.textContent = "";
    submitButton.disabled = true;
    const wrong = await submit();
    submitButton.disabled = false;
    if (wrong === null) dialog.close();
    else problem.textContent = wrong;
  };
  dialog.onclose = () => form.reset();
  const open = () => {
    problem.textContent = "";
    if (!dialog.open) dialog.showModal();
  };
  button.onclick = open;
  return { open };
}
