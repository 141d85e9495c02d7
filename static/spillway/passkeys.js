// Beside allauth's own scripts: shows the buttons where there are passkeys, and says when one failed.

const button = document.querySelector("#passkey_login");
if (button && window.PublicKeyCredential) button.hidden = false;

document.addEventListener("allauth.error", (event) => {
  const problem = document.querySelector("#passkey-problem");
  if (!problem) return;
  event.preventDefault();
  problem.hidden = false;
});
