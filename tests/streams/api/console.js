// A console as the helpdesk's frontend behaves: token in the query, joins on `ready`.
// Arguments: address, token, then joins as JSON: [["joinTickets", "open"], ...].
// Every event is one line of JSON on stdout.
const { io } = require("socket.io-client");

const [address, token, joins] = process.argv.slice(2);
const say = (event, body) => process.stdout.write(JSON.stringify([event, body ?? null]) + "\n");
const socket = io(address, { transports: ["websocket"], query: { token }, reconnection: false });

socket.on("ready", () => {
  for (const [event, argument] of JSON.parse(joins)) {
    argument === undefined ? socket.emit(event) : socket.emit(event, argument);
  }
  say("ready");
});
socket.onAny((event, body) => {
  if (event !== "ready") say(event, body);
});
socket.on("connect", () => say("connect"));
socket.on("connect_error", (error) => say("connect_error", error.message));
socket.on("disconnect", (reason) => {
  say("disconnect", reason);
  process.exit(0);
});
