import { element, inside } from "./dom.ts";

/** What a dialog does. */
export interface DialogActions {
  /** Does what the form asks for; gives what is wrong, or `null` to close the dialog. */
  submit(): Promise<string | null>;
  /** Is called when it was done and the dialog is closed. */
  done(): void;
}

/** Lets a button, if there is one, open a dialog with a form. */
export function bindDialog(
  dialogId: string,
  button: HTMLElement | null,
  { submit, done }: DialogActions,
): { open(problem?: string): void } {
  const dialog = element(dialogId, HTMLDialogElement);
  const form = inside(dialog, "form", HTMLFormElement);
  const problem = inside(dialog, ".error", HTMLElement);
  const submitButton = inside(dialog, "button[type=submit]", HTMLButtonElement);
  let closings = 0;
  inside(dialog, ".cancel", HTMLButtonElement).onclick = () => dialog.close();
  form.onsubmit = async (event) => {
    event.preventDefault();
    problem.textContent = "";
    submitButton.disabled = true;
    const before = closings;
    const wrong = await submit();
    // Of what was asked for before it was closed, it shows nothing.
    if (closings === before) {
      submitButton.disabled = false;
      if (wrong === null) dialog.close();
      else problem.textContent = wrong;
    }
    if (wrong === null) done();
  };
  const reset = () => {
    closings++;
    submitButton.disabled = false;
    form.reset();
  };
  // It comes some time after that: by then the dialog may be open again, for something else.
  dialog.onclose = () => {
    if (!dialog.open) reset();
  };
  const open = (text = "") => {
    const isSubmitting = submitButton.disabled;
    if (!dialog.open || isSubmitting) reset();
    problem.textContent = text;
    if (!dialog.open) dialog.showModal();
  };
  if (button !== null) button.onclick = () => open();
  return { open };
}
