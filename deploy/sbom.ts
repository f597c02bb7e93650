/**
 * Prints a software bill of materials (CycloneDX 1.6) of the server, made from the lock file alone: `deno task sbom`.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import config from "../deno.json" with { type: "json" };
import { readTaskArguments } from "./task_arguments.ts";

const help = `deno task sbom

Prints a software bill of materials (CycloneDX 1.6) of the server, made from the lock file.`;

/** What is used of a lock file of Deno. */
export interface LockFile {
  readonly npm: Readonly<Record<string, Package>>;
}

interface Package {
  readonly integrity: string;
  readonly dependencies?: readonly string[];
}

/** A package of the bill. */
export interface Component {
  readonly type: "library";
  readonly "bom-ref": string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly scope: "required" | "excluded";
  readonly hashes: readonly [{ readonly alg: "SHA-512"; readonly content: string }];
}

/** What programs that import or run this project need; everything else is for tests and examples. */
const required = [
  "uqr",
  "ws",
  "idb",
  "mlkem",
  // Of servers in a cluster alone.
  "@nats-io/jetstream",
  "@nats-io/kv",
  "@nats-io/transport-node",
  "@nats-io/nats-core",
  "@nats-io/nkeys",
  "@nats-io/nuid",
  "tweetnacl",
];

function componentOf(id: string, { integrity }: Package): Component {
  const at = id.lastIndexOf("@");
  const [name, version] = [id.slice(0, at), id.slice(at + 1)];
  const bytes = Uint8Array.from(atob(integrity.replace("sha512-", "")), (char) => char.charCodeAt(0));
  return {
    type: "library",
    "bom-ref": id,
    name,
    version,
    purl: `pkg:npm/${name.replace("@", "%40")}@${version}`,
    scope: required.includes(name) ? "required" : "excluded",
    hashes: [{ alg: "SHA-512", content: bytes.toHex() }],
  };
}

/** Makes the bill of what a lock file has. */
export function billOfMaterials({ npm: packages }: LockFile) {
  const { name, version, license } = config;
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: {
        type: "application",
        "bom-ref": name,
        name,
        version,
        licenses: [{ license: { id: license } }],
      },
    },
    components: Object.entries(packages).map(([id, found]) => componentOf(id, found)),
    dependencies: Object.entries(packages).map(([id, { dependencies = [] }]) => ({
      ref: id,
      dependsOn: dependencies.map((dependency) =>
        Object.keys(packages).find((one) => one === dependency || one.startsWith(`${dependency}@`))!
      ),
    })),
  } as const;
}

if (import.meta.main) {
  readTaskArguments({}, { help, most: 0 });
  const lock: LockFile = JSON.parse(await Deno.readTextFile(new URL("../deno.lock", import.meta.url)));
  console.log(JSON.stringify(billOfMaterials(lock), null, 2));
}
