#!/usr/bin/env bash
# Makes the executable of `deno task compile` for another system: executable.sh TARGET writes ./smp-server-TARGET, for
# Windows with .exe.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$1
command=$(node -p 'require("./deno.json").tasks.compile.command')
command=${command/#deno /npx --yes deno@2.9.6 }
read -ra words <<< "${command/--output smp-server /--target $target --output smp-server-$target }"
"${words[@]}"
