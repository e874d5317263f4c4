#!/bin/sh
# Stops the timers and takes back what enabling them made, if the package goes. dpkg says "remove" or "upgrade", rpm how many
# versions stay; apk says a version, and runs this only if the package goes.
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
