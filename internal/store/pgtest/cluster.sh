# Runs one PostgreSQL server for one test process: cluster.sh FOLDER BIN
#
# Commands come on stdin, a pipe that only the test process can write to. Its end is the end of that
# process, however it died, and then neither server nor folder may stay. Each command is answered
# with one line; what the programs print goes to FOLDER/log.
folder=$1 bin=$2 data=$1/data

while read -r action argument; do
	case $action in
	init)
		"$bin/initdb" -D "$data" -U postgres --pwfile="$folder/password" --auth-local=trust \
			--auth-host=scram-sha-256 -E UTF8 --locale="$argument" --no-sync
		;;
	copy) "$bin/pg_basebackup" -D "$data" -d "$argument" -R -X fetch -c fast --no-sync ;;
	start) "$bin/pg_ctl" start -D "$data" -o "-p $argument -k '$folder'" -l "$folder/log" -t 80 ;;
	stop) "$bin/pg_ctl" stop -D "$data" -m "$argument" -t 80 ;;
	esac </dev/null >>"$folder/log" 2>&1 && echo ok || echo failed
done

[ ! -f "$data/postmaster.pid" ] || "$bin/pg_ctl" stop -D "$data" -m immediate </dev/null >>"$folder/log" 2>&1
rm -rf "$folder"
