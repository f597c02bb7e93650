/** Lines of `name: value` in sections; what is `undefined` is left out, and so are sections of nothing. */
export class Sections {
  readonly lines: string[] = [];

  add(title: string, values: Readonly<Record<string, string | number | null | undefined>>): void {
    const given = Object.entries(values).filter(([, value]) => value !== undefined);
    if (given.length === 0) return;
    this.lines.push(...(this.lines.length > 0 ? [""] : []), `# ${title}`);
    for (const [name, value] of given) this.lines.push(`${name}: ${value ?? "none"}`);
  }
}
