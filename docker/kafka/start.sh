#!/bin/sh
# Starts the secured broker. The image's own start script takes Java key stores only and can make no users, so it is
# passed by: of the image, these are its programs.
#
# The first start makes the users, one for each file kafka_user_NAME, which holds the password. Later files count for
# nothing: another user is made by whoever is administrator (see compose.tls.yaml).
set -eu
programs=${KAFKA_PROGRAMS:-/opt/kafka/bin}
here=$(dirname "$0")

umask 077
users=$(mktemp) # a file: arguments are seen by everybody on the host who can list processes
for file in "${KAFKA_USERS:-/run/secrets}"/kafka_user_*; do
    printf '%s\n' --add-scram "SCRAM-SHA-512=[name=${file##*kafka_user_},password=$(cat "$file")]" >>"$users"
done
"$programs/kafka-storage.sh" format --ignore-formatted --cluster-id "$CLUSTER_ID" --config "$here/secured.properties" \
    "@$users"
rm "$users"
exec "$programs/kafka-server-start.sh" "$here/secured.properties"
