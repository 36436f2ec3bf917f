// Show the document of this server; addresses are relative, and no other host is asked.
SwaggerUIBundle({
  url: new URL("openapi.json", document.baseURI).href,
  dom_id: "#viewer",
  validatorUrl: null,
  queryConfigEnabled: false,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  docExpansion: "list",
});
