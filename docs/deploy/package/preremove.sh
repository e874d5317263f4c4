#!/bin/sh
# Stops and disables the timers when the package is removed. dpkg passes "remove" or "upgrade", rpm the number of versions that
# stay. apk passes a version, and runs this only for a removal.
case ${1:-} in
upgrade | failed-upgrade | 1) exit 0 ;;
esac
for link in /etc/systemd/system/timers.target.wants/decayctl@*.timer; do
	[ -L "$link" ] || continue
	if [ -d /run/systemd/system ]; then
		systemctl disable --now "${link##*/}" || true
	else
		rm -f "$link"
	fi
done
