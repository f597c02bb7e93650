import { type AdminPlace, placeBeside } from "../../cli/admin/place.ts";

/** Where the agent with this database is administered: beside it, whatever links lead there. */
export async function agentPlace(
  database: string,
  os: typeof Deno.build.os = Deno.build.os,
): Promise<AdminPlace> {
  const { isSymlink = false } = await Deno.lstat(database).catch(() => ({}) as Partial<Deno.FileInfo>);
  const path = isSymlink ? await Deno.realPath(database).catch(() => database) : database;
  return placeBeside(path, { program: "agent", os });
}
