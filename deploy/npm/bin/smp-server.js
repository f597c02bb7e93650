#!/usr/bin/env node
import { needsDeno } from "./run.js";

needsDeno("smp-server");
