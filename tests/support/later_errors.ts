/** Loaded first, this throws where nothing catches it, soon after a program has begun to listen to signals. */
const { addSignalListener } = Deno;
Deno.addSignalListener = (signal, handler) => {
  addSignalListener(signal, handler);
  if (signal !== "SIGTERM") return;
  setTimeout(() => {
    throw new Error("in a timer");
  });
  void Promise.reject(new Error("of a promise"));
};
