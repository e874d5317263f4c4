# Runs one PgBouncer for one test process: bouncer.sh FOLDER PROGRAM
#
# Commands come on stdin, as in cluster.sh.
folder=$1 program=$2 pid=

while read -r action argument; do
	case $action in
	start)
		"$program" "$folder/pgbouncer.ini" </dev/null >>"$folder/log" 2>&1 &
		pid=$!
		echo ok
		;;
	esac
done

[ -z "$pid" ] || { kill "$pid" && wait "$pid"; } 2>/dev/null
rm -rf "$folder"
