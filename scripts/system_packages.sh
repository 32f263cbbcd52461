#!/usr/bin/env bash
# Installs the system packages that tests ask for and that are not here: chromium, for the tests that look at a page;
# strace, for those that let system calls fail.
# Only as root on a system with apt-get; elsewhere, or when it fails, those tests are skipped and say why.
set -u
cd "$(dirname "$0")/.."

is_there() {
    for program in "$@"; do
        command -v "$program" >/dev/null 2>&1 && return 0
    done
    return 1
}

# A test asks by looking the program up by its name.
wanted=()
for package in chromium strace; do
    if ! grep -rqs --include='*.py' "\"$package\"" tests; then continue; fi
    case $package in
    chromium) is_there chromium chromium-browser google-chrome || wanted+=("$package") ;;
    *) is_there "$package" || wanted+=("$package") ;;
    esac
done
if [ ${#wanted[@]} -eq 0 ]; then exit 0; fi
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ]; then
    echo "${wanted[*]}: not installed; the tests that need it are skipped"
    exit 0
fi
echo "installing ${wanted[*]} (apt-get)"
export DEBIAN_FRONTEND=noninteractive
{ timeout 120 apt-get update -qq && timeout 300 apt-get install -y -qq --no-install-recommends "${wanted[@]}"; } >/dev/null 2>&1 ||
    echo "${wanted[*]}: could not be installed; the tests that need it are skipped"
exit 0
