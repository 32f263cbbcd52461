#!/usr/bin/env bash
# Installs the system packages that tests ask for and that are not here: chromium, for the tests that look at a page.
# Only as root on a system with apt-get; elsewhere, or when it fails, those tests are skipped and say why.
set -u
cd "$(dirname "$0")/.."

# A test asks by looking the program up by its name.
if ! grep -rqs --include='*.py' '"chromium"' tests; then exit 0; fi
for program in chromium chromium-browser google-chrome; do
    command -v "$program" >/dev/null 2>&1 && exit 0
done
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ]; then
    echo "chromium is not installed: the tests that need it are skipped"
    exit 0
fi
echo "installing chromium (apt-get)"
export DEBIAN_FRONTEND=noninteractive
{ timeout 120 apt-get update -qq && timeout 300 apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 ||
    echo "chromium could not be installed: the tests that need it are skipped"
exit 0
