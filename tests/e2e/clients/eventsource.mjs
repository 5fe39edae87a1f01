// The `eventsource` package: prints each message on a line of its own. It comes back by itself when it is cut off.
import { EventSource } from "eventsource";

const source = new EventSource(process.argv[2]);
source.onmessage = (event) => console.log(event.data);
source.addEventListener("lost", (event) => console.log(`lost ${event.data}`));
source.addEventListener("reset", (event) => console.log(`reset ${event.data}`));
