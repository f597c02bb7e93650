import { type ServerExtension, serverExtensions } from "../../protocol/mod.ts";

/** A setting of a server's extensions, and how tests are named that run with it. */
export interface ExtensionSetting {
  readonly suffix: string;
  readonly extensions: readonly ServerExtension[];
}

/** What 0.3 says holds with all extensions on and with all off (extensions.md). */
export const extensionSettings: readonly ExtensionSetting[] = [
  { suffix: "", extensions: serverExtensions },
  { suffix: ", with all extensions off", extensions: [] },
];
