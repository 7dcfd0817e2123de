#!/usr/bin/env bash
# Chromium and its driver, for the tests of WebShop in a browser. Where they are missing, Debian's
# packages are installed, as root or with a sudo that asks nothing; else one line names them.
set -euo pipefail

found() { command -v "$1" >/dev/null 2>&1; }

have_chrome() {
	[ -n "${SAD_CHROME:-}" ] || found chromium || found chromium-browser || found google-chrome || found google-chrome-stable
}
have_driver() { [ -n "${SAD_CHROMEDRIVER:-}" ] || found chromedriver; }

have_chrome && have_driver && exit 0

as_root=""
if found apt-get; then
	if [ "$(id -u)" = 0 ]; then
		as_root="env"
	elif found sudo && sudo -n true 2>/dev/null; then
		as_root="sudo -n"
	fi
fi
if [ -n "$as_root" ]; then
	echo "installing chromium and chromium-driver"
	$as_root apt-get -qq update || true
	if $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
		chromium chromium-driver >/dev/null && have_chrome && have_driver; then
		exit 0
	fi
fi
echo "error: the browser tests need the packages chromium and chromium-driver: apt-get install chromium chromium-driver (or set SAD_CHROME and SAD_CHROMEDRIVER)" >&2
exit 2
