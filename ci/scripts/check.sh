#!/usr/bin/env bash
# Runs a recipe and judges its gates; every setting comes as an environment variable, so that
# nothing that somebody wrote in a pull request is ever read as shell.
#
#   WORKBENCH_RECIPE    a recipe file or name, which is run first; or
#   WORKBENCH_RUN       a run directory that is there already
#   WORKBENCH_BASELINE  an earlier run: a directory or its run.json; none: no 'previous'
#   WORKBENCH_GATES     a gates file beside the recipe's gates; none: the recipe's alone
#   WORKBENCH_STRICT    true: what is undecided or not judged fails too
#   WORKBENCH_BUDGET    such as 5m: measure until all is decided, that long at most; none: a few looks
#   WORKBENCH_SMOKE     true: run the recipe on a tiny random model; nothing is judged
#   WORKBENCH_FAIL      false: exit with 0 where a gate failed
#   WORKBENCH_RUNS      folder of run directories (runs)
#   WORKBENCH_REPORTS   folder of check.xml, check.md, check.sarif, run.log (workbench-check)
#
# Exits as `workbench check` does: 0 passed, 1 a gate failed, 2 to 5 and 70 nothing was judged.
set -euo pipefail

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 2
}

flag() { # NAME VALUE: true or false, as YAML writes them
    case "$2" in
        true) return 0 ;;
        false | '') return 1 ;;
        *) fail "$1 is '$2'; it can be true or false." ;;
    esac
}

output() { # NAME VALUE: tell the workflow, where there is one
    case "$2" in
        *$'\n'*) fail "$1 has a line break." ;;
    esac
    if [ -n "${GITHUB_OUTPUT:-}" ]; then
        printf '%s=%s\n' "$1" "$2" >> "$GITHUB_OUTPUT"
    fi
}

recipe=${WORKBENCH_RECIPE:-}
run=${WORKBENCH_RUN:-}
runs=${WORKBENCH_RUNS:-runs}
reports=${WORKBENCH_REPORTS:-workbench-check}
strict=()
if flag WORKBENCH_STRICT "${WORKBENCH_STRICT:-}"; then strict=(--strict); fi
tolerant=no
case "${WORKBENCH_FAIL:-true}" in
    true) ;;
    false) tolerant=yes ;;
    *) fail "WORKBENCH_FAIL is '$WORKBENCH_FAIL'; it can be true or false." ;;
esac
if [ -n "$recipe" ] && [ -n "$run" ]; then
    fail 'WORKBENCH_RECIPE and WORKBENCH_RUN are both given: one of them is judged.'
elif [ -z "$recipe$run" ]; then
    fail 'Give WORKBENCH_RECIPE, a recipe to run, or WORKBENCH_RUN, a run directory.'
fi
mkdir -p -- "$reports"
output passed false

if [ -n "$recipe" ]; then
    arguments=(--runs "$runs" --json)
    if flag WORKBENCH_SMOKE "${WORKBENCH_SMOKE:-}"; then arguments+=(--smoke); fi
    # A gate that fails here is judged again below, and reported there.
    code=0
    workbench run "${arguments[@]}" -- "$recipe" > "$reports/run.json" || code=$?
    if [ "$code" -gt 1 ]; then exit "$code"; fi
    name=$(python -c 'import json, sys; print(json.load(sys.stdin)["name"])' < "$reports/run.json")
    rm -- "$reports/run.json"
    run=$runs/$name
    workbench show -- "$run" | tee "$reports/run.log"
fi
output run "$run"

arguments=(--junit "$reports/check.xml" --markdown "$reports/check.md" --sarif "$reports/check.sarif")
if [ -n "${WORKBENCH_BASELINE:-}" ]; then arguments+=(--baseline "$WORKBENCH_BASELINE"); fi
if [ -n "${WORKBENCH_GATES:-}" ]; then arguments+=(--gates "$WORKBENCH_GATES"); fi
if [ -n "${WORKBENCH_BUDGET:-}" ]; then arguments+=(--decide --budget "$WORKBENCH_BUDGET"); fi
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then arguments+=(--step-summary); fi
if [ "${GITHUB_ACTIONS:-}" = true ]; then arguments+=(--annotations); fi
code=0
workbench check "${arguments[@]}" ${strict[@]+"${strict[@]}"} -- "$run" || code=$?
if [ "$code" -eq 0 ]; then output passed true; fi
if [ "$code" -eq 1 ] && [ "$tolerant" = yes ]; then exit 0; fi
exit "$code"
