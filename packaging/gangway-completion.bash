# shellcheck shell=bash
# bash completion for gangway, from the command itself.
# shellcheck disable=SC1090
. <(gangway completion bash)
