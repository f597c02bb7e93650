/** What tests of the IndexedDB store do inside a browser. */
import { readBackup, writeBackup } from "../../agent/backup.ts";
import { IndexedDbStore } from "../../agent/store/indexeddb.ts";
import { MemoryStore } from "../../agent/store/memory.ts";
import { everything } from "../agent/store/samples.ts";

Object.assign(globalThis, { everything, IndexedDbStore, MemoryStore, readBackup, writeBackup });
